"""The messages of an ONNX file (onnx.proto), as far as they are read.

What is refused stands here by its name; what does not stand here is refused as unknown. What people and
tools write for themselves (doc_string, metadata_props, value_info) is passed over.
"""

from colvi_edge.onnx.protobuf import Field, Kind, Schema

_ELSEWHERE = Field("data in another file", Kind.REFUSED)
_SUBGRAPH = Field("a graph within a node", Kind.REFUSED)
_SPARSE = Field("a sparse tensor", Kind.REFUSED)

MODEL: Schema = {
    1: Field("ir_version", Kind.INTEGER),
    2: Field("producer_name", Kind.TEXT),
    3: Field("producer_version", Kind.TEXT),
    4: Field("domain", Kind.TEXT),
    5: Field("model_version", Kind.INTEGER),
    6: Field("doc_string", Kind.BYTES),
    7: Field("graph", Kind.BYTES),
    8: Field("opset_import", Kind.BYTES, repeats=True),
    14: Field("metadata_props", Kind.BYTES, repeats=True),
    20: Field("training", Kind.REFUSED),
    25: Field("a function", Kind.REFUSED),
}
OPSET: Schema = {1: Field("domain", Kind.TEXT), 2: Field("version", Kind.INTEGER)}
GRAPH: Schema = {
    1: Field("node", Kind.BYTES, repeats=True),
    2: Field("name", Kind.TEXT),
    5: Field("initializer", Kind.BYTES, repeats=True),
    10: Field("doc_string", Kind.BYTES),
    11: Field("input", Kind.BYTES, repeats=True),
    12: Field("output", Kind.BYTES, repeats=True),
    13: Field("value_info", Kind.BYTES, repeats=True),
    15: _SPARSE,
    16: Field("metadata_props", Kind.BYTES, repeats=True),
}
NODE: Schema = {
    1: Field("input", Kind.TEXT, repeats=True),
    2: Field("output", Kind.TEXT, repeats=True),
    3: Field("name", Kind.TEXT),
    4: Field("op_type", Kind.TEXT),
    5: Field("attribute", Kind.BYTES, repeats=True),
    6: Field("doc_string", Kind.BYTES),
    7: Field("domain", Kind.TEXT),
    9: Field("metadata_props", Kind.BYTES, repeats=True),
}
ATTRIBUTE: Schema = {
    1: Field("name", Kind.TEXT),
    2: Field("f", Kind.FLOAT),
    3: Field("i", Kind.INTEGER),
    4: Field("s", Kind.TEXT),
    5: Field("t", Kind.BYTES),
    6: _SUBGRAPH,
    7: Field("floats", Kind.FLOAT, repeats=True),
    8: Field("ints", Kind.INTEGER, repeats=True),
    9: Field("a list of texts", Kind.REFUSED),
    10: Field("a list of tensors", Kind.REFUSED),
    11: _SUBGRAPH,
    13: Field("doc_string", Kind.BYTES),
    14: Field("a type", Kind.REFUSED),
    15: Field("a type", Kind.REFUSED),
    20: Field("type", Kind.INTEGER),
    21: Field("a reference to an attribute of a function", Kind.REFUSED),
    22: _SPARSE,
    23: _SPARSE,
}
TENSOR: Schema = {
    1: Field("dims", Kind.INTEGER, repeats=True),
    2: Field("data_type", Kind.INTEGER),
    3: Field("a part of a tensor", Kind.REFUSED),
    4: Field("float_data", Kind.BYTES),
    5: Field("int32_data", Kind.BYTES),
    6: Field("texts", Kind.REFUSED),
    7: Field("int64_data", Kind.BYTES),
    8: Field("name", Kind.TEXT),
    9: Field("raw_data", Kind.BYTES),
    10: Field("double_data", Kind.BYTES),
    11: Field("uint64_data", Kind.BYTES),
    12: Field("doc_string", Kind.BYTES),
    13: _ELSEWHERE,
    14: Field("data_location", Kind.INTEGER),
    16: Field("metadata_props", Kind.BYTES, repeats=True),
}
VALUE_INFO: Schema = {
    1: Field("name", Kind.TEXT),
    2: Field("type", Kind.BYTES),
    3: Field("doc_string", Kind.BYTES),
    4: Field("metadata_props", Kind.BYTES, repeats=True),
}
TYPE: Schema = {1: Field("tensor_type", Kind.BYTES), 6: Field("denotation", Kind.TEXT)}
TENSOR_TYPE: Schema = {1: Field("elem_type", Kind.INTEGER), 2: Field("shape", Kind.BYTES)}
SHAPE: Schema = {1: Field("dim", Kind.BYTES, repeats=True)}
DIMENSION: Schema = {
    1: Field("dim_value", Kind.INTEGER),
    2: Field("dim_param", Kind.TEXT),
    3: Field("denotation", Kind.TEXT),
}
