"""Runs the first layers of a recorded graph on a few images at a time, and later ones on more.

In networks for pictures the first layers have the largest activations. On a whole batch these drive each other out of
the processor's caches, and every layer waits for memory; on one image after the other they stay there. Later layers
have small activations and many weights, which are better read once for many images.

A graph is cut where a single tensor is alive whose first dimension is the batch. From one cut to the next is a stage:
it slices that tensor into chunks of some images, runs its layers on each, and joins what comes out.

Shapes stand in a recorded graph as numbers, those of `view` for example. So it is recorded for every size of a chunk,
and a stage takes its layers from the graph of its own size.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, fx
from torch.fx import Node
from torch.fx.experimental.proxy_tensor import make_fx

Graphs = dict[int, fx.GraphModule]
"""One program, recorded for each size of a chunk. The greatest size is the batch."""


@dataclass(frozen=True)
class Stage:
    """Layers that run on so many images at a time."""

    chunk: int
    start: int = 0
    """Which node is the first. The stage ends where the next one starts, and the last one with the graph."""
    reads: str = ""
    """The node whose tensor it slices; the first stage slices all arguments."""


Plan = tuple[Stage, ...]


@dataclass(frozen=True)
class Cut:
    """Where a stage may start."""

    position: int
    """The first node behind it."""
    name: str
    """The node whose tensor alone is alive."""
    bytes: int
    """Of that tensor."""


def chunk_sizes(batch: int) -> list[int]:
    """Powers of two that divide the batch, and the batch."""
    return sorted({1 << power for power in range(batch.bit_length()) if batch % (1 << power) == 0} | {batch})


def record(program: Callable, example: tuple[Tensor, ...]) -> fx.GraphModule:
    """The operators that `program`, which returns a tuple of tensors, runs on arguments like `example`.

    They are recorded as TorchScript's interpreter runs them, so that its loops and lists, which are the same for all
    input of one size, are gone. What depends on the values of the input stops the recording.
    """
    return make_fx(program)(*example)


def whole(graphs: Graphs) -> Plan:
    """All layers on all images at once."""
    return (Stage(max(graphs)),)


def describe(stages: Plan) -> str:
    """The sizes of the chunks, such as 1·2·8."""
    return "·".join(str(stage.chunk) for stage in stages)


def copies(graphs: Graphs, stages: Plan) -> float:
    """How many times as many nodes as the recorded graph the graph of a plan has."""
    batch = max(graphs)
    nodes = len(graphs[batch].graph.nodes)
    ends = [*(stage.start for stage in stages[1:]), nodes]
    return sum((end - stage.start) * batch / stage.chunk for stage, end in zip(stages, ends)) / nodes


def plan(graphs: Graphs, budget: int) -> Plan:
    """Stages in which the activations of each layer take `budget` bytes at most, where the smallest chunk allows it.

    A layer that reads r bytes of activations and writes w bytes for an image may run on the greatest chunk c with
    c · (r + w) ≤ budget. What is between two cuts runs on the least that its layers and all later ones may, so that
    chunks grow from stage to stage. The plan is the whole graph where it cannot be cut.
    """
    batch, smallest = max(graphs), min(graphs)
    cuts = find_cuts(graphs)
    if not cuts:
        return whole(graphs)
    nodes = list(graphs[batch].graph.nodes)
    constants = find_constants(graphs[batch].graph)
    bounds = [0, *(cut.position for cut in cuts), len(nodes)]
    chunks, least = [], batch
    for start, end in reversed(list(zip(bounds, bounds[1:]))):
        most = max(activations(node, constants) for node in nodes[start:end])
        least = min(least, max((size for size in graphs if size * most <= budget * batch), default=smallest))
        chunks.append(least)
    first, *behind = reversed(chunks)
    stages, at = [Stage(first)], 0
    while at < len(cuts):
        if behind[at] > stages[-1].chunk:
            # Narrow tensors are cheaper to join.
            while at + 1 < len(cuts) and cuts[at + 1].bytes < cuts[at].bytes:
                at += 1
            stages.append(Stage(behind[at], cuts[at].position, cuts[at].name))
        at += 1
    return tuple(stages)


def build(graphs: Graphs, stages: Plan) -> fx.GraphModule:
    """The graph that runs a plan made of these graphs."""
    if stages == whole(graphs):
        return graphs[max(graphs)]
    nodes = list(graphs[max(graphs)].graph.nodes)
    outputs = [node.name for node in nodes[-1].args[0]]
    builder = Builder(graphs)
    values = {node.name: builder.graph.placeholder(node.name) for node in nodes if node.op == "placeholder"}
    for stage, following in zip(stages, stages[1:]):
        values = builder.add(stage, following.start, values, [following.reads])
    values = builder.add(stages[-1], len(nodes) - 1, values, outputs)
    builder.graph.output(tuple(values[name] for name in outputs))
    return builder.module()


class Builder:
    """A graph that grows by stages."""

    def __init__(self, graphs: Graphs) -> None:
        self.graphs = graphs
        self.graph = fx.Graph()
        self.attributes: dict[str, object] = {}
        self.attribute_names: dict[object, str] = {}
        self.constants: dict[Node, Node] = {}

    def module(self) -> fx.GraphModule:
        """The graph with the tensors that it has for constants."""
        module = fx.GraphModule(self.attributes, self.graph)
        module.graph.lint()
        return module

    def add(self, stage: Stage, end: int, read: dict[str, Node], wanted: list[str]) -> dict[str, Node]:
        """Runs the nodes from the stage's start to `end` on what is `read`; tensors of the whole batch, by name."""
        source = self.graphs[stage.chunk]
        nodes = list(source.graph.nodes)
        constants = find_constants(source.graph)
        layers = [node for node in nodes[stage.start : end] if node not in constants and node.op != "placeholder"]
        chunks = []
        for first in range(0, max(self.graphs), stage.chunk):
            copies = {name: self.slice(tensor, first, stage.chunk) for name, tensor in read.items()}

            def copy_of(node: Node) -> Node:
                return self.constant(source, node) if node in constants else copies[node.name]

            for node in layers:
                copies[node.name] = self.graph.node_copy(node, copy_of)
            chunks.append(copies)
        return {name: self.join([copies[name] for copies in chunks]) for name in wanted}

    def slice(self, tensor: Node, first: int, chunk: int) -> Node:
        """A chunk of a tensor of the whole batch."""
        if chunk == max(self.graphs):
            return tensor
        return self.graph.call_function(torch.ops.aten.slice.Tensor, (tensor, 0, first, first + chunk))

    def join(self, chunks: list[Node]) -> Node:
        """The tensor of the whole batch."""
        return chunks[0] if len(chunks) == 1 else self.graph.call_function(torch.ops.aten.cat.default, (chunks, 0))

    def constant(self, source: fx.GraphModule, node: Node) -> Node:
        """A constant of one of the graphs, copied where it is used first."""
        if node not in self.constants:
            if node.op == "get_attr":
                self.constants[node] = self.graph.get_attr(self.attribute(getattr(source, node.target)))
            else:
                self.constants[node] = self.graph.node_copy(node, lambda each: self.constant(source, each))
        return self.constants[node]

    def attribute(self, value: object) -> str:
        """The name for a constant, the same for what the graphs share: their weights."""
        # Every recording may wrap a tensor anew, so its identity says nothing.
        key = (value.data_ptr(), value.shape, value.stride(), value.dtype) if isinstance(value, Tensor) else id(value)
        name = self.attribute_names.setdefault(key, f"constant{len(self.attributes)}")
        self.attributes[name] = value
        return name


def find_cuts(graphs: Graphs) -> list[Cut]:
    """Where the graphs can be cut; nowhere, if they are not the same operators on other sizes of a batch.

    A cut is in front of an operator with weights only: others, activation functions for example, are fused with the
    layer before them.
    """
    lists = {size: list(recorded.graph.nodes) for size, recorded in graphs.items()}
    graph = graphs[max(graphs)].graph
    nodes = lists[max(graphs)]

    def batched(node: object) -> bool:
        return isinstance(node, Node) and is_batched({size: of[nodes.index(node)] for size, of in lists.items()})

    if any([identity(node) for node in of] != [identity(node) for node in nodes] for of in lists.values()):
        return []
    if not all(batched(node) for node in [*graph.find_nodes(op="placeholder"), *nodes[-1].args[0]]):
        return []
    constants = find_constants(graph)
    positions = {node: position for position, node in enumerate(nodes)}
    last_use = {node: max((positions[user] for user in node.users), default=-1) for node in nodes}
    cuts: list[Cut] = []
    alive: set[Node] = set()
    for position, node in enumerate(nodes):
        weights = constants.intersection(node.all_input_nodes) if node not in constants else set()
        if len(alive) == 1 and any(size_of(each) > 1 for each in weights):
            (tensor,) = alive
            if batched(tensor):
                cuts.append(Cut(position, tensor.name, bytes_of(tensor)))
        alive = {each for each in alive if last_use[each] > position}
        if node not in constants and last_use[node] > position:
            alive.add(node)
    return cuts


def find_constants(graph: fx.Graph) -> set[Node]:
    """Weights, and what is computed from nothing else."""
    constants: set[Node] = set()
    for node in graph.nodes:
        computed = node.op == "call_function" and node.all_input_nodes and constants.issuperset(node.all_input_nodes)
        # What writes to its input is no copy that may be left out or repeated.
        writes = getattr(getattr(node.target, "_schema", None), "is_mutable", False)
        if node.op == "get_attr" or (computed and not writes):
            constants.add(node)
    return constants


def identity(node: Node) -> tuple[str, str, object]:
    """What a node has in common with the same one of a graph for another size."""
    return (node.op, node.name, node.target)


def is_batched(of_size: dict[int, Node]) -> bool:
    """Whether the node is a tensor whose first dimension is the batch, and no other depends on it."""
    values = {size: node.meta.get("val") for size, node in of_size.items()}
    if not all(isinstance(value, Tensor) and value.dim() > 0 for value in values.values()):
        return False
    return all(value.shape[0] == size for size, value in values.items()) and (
        len({value.shape[1:] for value in values.values()}) == 1
    )


def tensors_of(node: Node) -> list[Tensor]:
    """What the node computes."""
    value = node.meta.get("val")
    return [each for each in (value if isinstance(value, (tuple, list)) else [value]) if isinstance(each, Tensor)]


def size_of(node: Node) -> int:
    """How many numbers it computes."""
    return sum(tensor.numel() for tensor in tensors_of(node))


def bytes_of(node: Node) -> int:
    """How many bytes they take."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors_of(node))


def activations(node: Node, constants: set[Node]) -> int:
    """Bytes that a layer reads and writes; 0 for what is no layer."""
    read = [each for each in node.all_input_nodes if each not in constants]
    if node.op != "call_function" or not read:
        return 0
    return sum(map(bytes_of, read)) + bytes_of(node)
