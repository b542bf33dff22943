def test_fixture(make_adapter):
    folder = make_adapter(use_rslora=True)
    assert (folder / "adapter_model.safetensors").is_file()
