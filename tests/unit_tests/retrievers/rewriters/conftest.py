"""Both ways in which a rewriter can be asked."""

import pytest


async def _invoke(rewriter, question):
    return rewriter.invoke(question)


async def _ainvoke(rewriter, question):
    return await rewriter.ainvoke(question)


@pytest.fixture(params=[_invoke, _ainvoke])
def rewrite(request):
    """`await rewrite(rewriter, question)` gives its queries."""
    return request.param
