"""Generates the code for the protos, checks that what is committed is current, and applies buf to them.

``python -m tools.protos`` generates beside the protos; ``--check``, ``--lint``, ``--breaking`` only look;
``--baseline`` makes the present contract the one that ``--breaking`` compares with: run it as part of a release.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
BASELINE = PROTOS / "baseline.binpb"
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def sources() -> list[str]:
    """Every proto of ours, by its path from the root."""
    return sorted(path.relative_to(ROOT).as_posix() for path in PROTOS.rglob("*.proto"))


def generated(root: Path) -> dict[str, bytes]:
    """The generated files under *root*'s protos: path from the root → content."""
    files = (path for pattern in GENERATED for path in (root / "protos").rglob(pattern))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def generate(into: Path) -> None:
    """Writes messages and their types for every proto, stubs and servicers only for those that declare a service."""
    protoc([f"--python_out={into}", f"--mypy_out=quiet:{into}"], sources())
    services = [name for name in sources() if name.endswith("_service.proto")]
    protoc([f"--grpc_python_out={into}", f"--mypy_grpc_out=quiet,only_async:{into}"], services)


def protoc(options: Iterable[str], files: Iterable[str]) -> None:
    """Runs the protoc of grpcio-tools from the root; its plugins come from the same environment."""
    plugins = [f"--plugin={name}={tool(name)}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    run([sys.executable, "-m", "grpc_tools.protoc", "-I.", *plugins, *options, *files])


def tool(name: str) -> str:
    """A program of the environment this Python belongs to, also where that is not on the PATH."""
    return str(Path(sys.executable).parent / name)


def run(command: list[str]) -> None:
    """Runs *command* in the root; its failure, which it has explained on stderr, is ours."""
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    if status:
        sys.exit(status)


def write_image(path: Path, *, comments: bool) -> None:
    """Writes the protos and all they import as one descriptor image."""
    options = ["--include_imports", f"--descriptor_set_out={path}"]
    protoc([*options, "--include_source_info"] if comments else options, sources())


def regenerate() -> None:
    """Brings the committed code up to date, and removes that of protos which are gone."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = generated(Path(folder))
    for name in generated(ROOT).keys() - fresh.keys():
        (ROOT / name).unlink()
    for name, content in fresh.items():
        (ROOT / name).write_bytes(content)


def stale() -> Iterator[str]:
    """The files whose committed content is not what the protos give, missing and left-over ones included."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh, committed = generated(Path(folder)), generated(ROOT)
    return (name for name in sorted(fresh.keys() | committed.keys()) if fresh.get(name) != committed.get(name))


def check() -> None:
    """Fails when the committed code is not what the protos give."""
    if names := list(stale()):
        sys.exit(f"Not what the protos give; run `python -m tools.protos`: {', '.join(names)}")


def lint() -> None:
    """Applies buf's lint rules and format."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.binpb"
        write_image(image, comments=True)
        run([tool("buf"), "lint", str(image), "--config", "buf.yaml", "--path", "protos"])
    run([tool("buf"), "format", "--diff", "--exit-code"])


def breaking() -> None:
    """Fails when the protos break a client of the baseline."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.binpb"
        write_image(image, comments=True)
        against = ["--against", str(BASELINE.relative_to(ROOT)), "--against-config", "buf.yaml"]
        run([tool("buf"), "breaking", str(image), *against, "--config", "buf.yaml", "--path", "protos"])


def baseline() -> None:
    """Makes the present protos the ones that ``--breaking`` compares with."""
    write_image(BASELINE, comments=False)


def main() -> None:
    """Does the one thing that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tools.protos", description="Generate and check the protos' code.")
    choice = parser.add_mutually_exclusive_group()
    for action in (check, lint, breaking, baseline):
        flag = f"--{action.__name__}"
        choice.add_argument(flag, dest="action", action="store_const", const=action, help=action.__doc__)
    parser.set_defaults(action=regenerate)
    parser.parse_args().action()


if __name__ == "__main__":
    main()
