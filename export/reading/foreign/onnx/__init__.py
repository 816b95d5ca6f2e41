"""ONNX files of others: read with bounds, made a network of torch, and tried against ONNX Runtime."""
