"""Our retriever in a LangChain chain of your own."""

import sys

from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from langchain_graft import load_chat_model
from langchain_graft.retrievers import BM25Index

index = BM25Index()
index.add(
    [
        Document(id="1", page_content="The Apple I was designed by Steve Wozniak in 1976."),
        Document(id="2", page_content="The Altair 8800 was sold by MITS as a kit."),
        Document(id="3", page_content="联想集团的前身是1984年成立的计算所公司。"),
    ]
)
prompt = ChatPromptTemplate.from_template("Context: {context}\n\nQuestion: {question}")
chain = (
    {"context": index.as_retriever(k=2), "question": RunnablePassthrough()}
    | prompt
    | load_chat_model(sys.argv[1] if len(sys.argv) > 1 else "qwen2.5-coder-1.5b")
    | StrOutputParser()
)
print(chain.invoke("Who designed the Apple I?"))
