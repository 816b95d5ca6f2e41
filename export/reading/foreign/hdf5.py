"""HDF5 files: their structure is walked before a number of them is read.

HDF5 can name other files (external links, external storage, virtual datasets), have the library load a
plug-in (filters), point from one object to any other (references, soft links) and be a circle. Weights need
none of it.
"""

from collections.abc import Iterator
from pathlib import Path

import h5py
from h5py import h5d, h5g, h5l, h5o, h5t, h5z

from colvi_edge.errors import ModelError
from colvi_edge.printable import printable_name

_MOST_OBJECTS = 10_000
_DEEPEST = 20
_MOST_BYTES = 2**28
"""Of all datasets, unpacked."""

_MOST_EXPANSION = 1000
"""Of a dataset: zeros shrink to a thousandth, and are what a fresh optimiser keeps."""

_MOST_TEXTS = 10_000
"""In an attribute."""

_FILTERS = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, h5z.FILTER_LZF}
_REMEDY = "save the weights by model.save_weights('model.h5')"


def refuse_foreign_file(file: h5py.File, path: Path) -> None:
    """Raise ModelError if a file holds more than groups, plain datasets and attributes of bounded size.

    Args:
        file: open for reading.
        path: for words.
    """
    try:
        _Walk(path).group(file.id, "", 0)
    except ValueError as error:
        raise ModelError(f"{path} has {printable_name(str(error))[:400]}; {_REMEDY}") from error


class _Walk:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: set[tuple[int, ...]] = set()
        self._objects = 0
        self._bytes = 0

    def group(self, group: h5g.GroupID, name: str, depth: int) -> None:
        """Look at a group, and at everything below it."""
        self._count(group, name)
        if depth > _DEEPEST:
            raise ValueError(f"groups more than {_DEEPEST} deep")
        self._attributes(group, name)
        if group.get_num_objs() > _MOST_OBJECTS:
            raise ValueError(f"{group.get_num_objs()} objects in {name or 'its root'}, expected some 20")
        for key in [group.get_objname_by_idx(number) for number in range(group.get_num_objs())]:
            below = f"{name}/{key.decode(errors='replace')}"
            kind = group.links.get_info(key).type
            if kind != h5l.TYPE_HARD:
                what = "a soft link" if kind == h5l.TYPE_SOFT else "a link to another file"
                raise ValueError(f"{what}, {below}")
            found = h5o.open(group, key)
            if isinstance(found, h5g.GroupID):
                self.group(found, below, depth + 1)
            elif isinstance(found, h5d.DatasetID):
                self._dataset(found, below)
            else:
                raise ValueError(f"{below}, which is neither group nor dataset")

    def _count(self, found: h5g.GroupID | h5d.DatasetID, name: str) -> None:
        info = h5o.get_info(found)
        place = (info.fileno, info.addr) if hasattr(info, "addr") else (info.fileno, *info.token)
        if place in self._seen:
            raise ValueError(f"{name or 'its root'} twice, under another name or in a circle")
        self._seen.add(place)
        self._objects += 1
        if self._objects > _MOST_OBJECTS:
            raise ValueError(f"more than {_MOST_OBJECTS} objects")

    def _dataset(self, dataset: h5d.DatasetID, name: str) -> None:
        self._count(dataset, name)
        self._attributes(dataset, name)
        _refuse_type(dataset.get_type(), name, may_be_text=False)
        plan = dataset.get_create_plist()
        if plan.get_layout() == h5d.VIRTUAL:
            raise ValueError(f"a virtual dataset, {name}, which is read from other files")
        if plan.get_external_count():
            raise ValueError(f"external storage: the numbers of {name} lie in another file")
        for number in range(plan.get_nfilters()):
            if plan.get_filter(number)[0] not in _FILTERS:
                raise ValueError(
                    f"a filter, number {plan.get_filter(number)[0]} of {name}, that is a plug-in"
                )
        item = dataset.get_type().get_size()
        size = dataset.get_space().get_simple_extent_npoints() * item
        chunk = item
        for edge in plan.get_chunk() if plan.get_layout() == h5d.CHUNKED else ():
            chunk *= edge
        self._bytes += size
        if max(self._bytes, chunk) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES >> 20} MiB of numbers, up to {name}")
        if size > _MOST_EXPANSION * dataset.get_storage_size() + 4096:
            stored = dataset.get_storage_size()
            raise ValueError(f"{size} bytes of {name} packed into {stored}")

    def _attributes(self, owner: h5g.GroupID | h5d.DatasetID, name: str) -> None:
        for attribute in _attributes_of(owner):
            below = f"the attribute {attribute.name.decode(errors='replace')} of {name or 'its root'}"
            _refuse_type(attribute.get_type(), below, may_be_text=True)
            count = attribute.get_space().get_simple_extent_npoints()
            if count > _MOST_TEXTS or count * attribute.get_type().get_size() > _MOST_BYTES // 16:
                raise ValueError(f"{below} with {count} values")


def _attributes_of(owner: h5g.GroupID | h5d.DatasetID) -> Iterator[h5py.h5a.AttrID]:
    count = h5py.h5a.get_num_attrs(owner)
    if count > _MOST_TEXTS:
        raise ValueError(f"{count} attributes on one object")
    for number in range(count):
        yield h5py.h5a.open(owner, index=number)


def _refuse_type(kind: h5t.TypeID, name: str, *, may_be_text: bool) -> None:
    """Refuse references, and whatever else is no number; attributes may be text."""
    if isinstance(kind, (h5t.TypeIntegerID, h5t.TypeFloatID)):
        return
    if isinstance(kind, h5t.TypeStringID) and may_be_text:
        return
    if isinstance(kind, h5t.TypeEnumID) and may_be_text:  # a truth value
        return
    what = (
        "references to other objects" if isinstance(kind, h5t.TypeReferenceID) else "neither numbers nor text"
    )
    raise ValueError(f"{what}, in {name}")
