"""The student in forms that outlive TorchScript: ONNX, `torch.export` and AOTInductor, files of a bundle on request."""
