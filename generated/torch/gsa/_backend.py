"""Builds this package: PEP 517 and PEP 660 with the standard library alone, so that installing it needs no network and no compiler."""

import base64
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def _project() -> dict:
    """The three keys of pyproject.toml that this needs; Python 3.10 has no parser for it."""
    found, section = {}, ""
    for line in (HERE / "pyproject.toml").read_text().splitlines():
        if line.startswith("["):
            section = line.strip()
        elif section == "[project]" and "=" in line:
            key, value = line.split("=", 1)
            found[key.strip()] = value.strip().strip('"')
    return found


def _metadata(project: dict) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}", f"Summary: {project['description']}"]
    lines += [f"Requires-Python: {project['requires-python']}", "Provides-Extra: torch", "Requires-Dist: torch>=2.9; extra == 'torch'", ""]
    return "\n".join(lines)


def _write_wheel(folder: str, files: "list[tuple[str, bytes]]") -> str:
    project = _project()
    stem = f"{project['name'].replace('-', '_')}-{project['version']}"
    info = f"{stem}.dist-info"
    wheel = "Wheel-Version: 1.0\nGenerator: lmoec\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = [*files, (f"{info}/METADATA", _metadata(project).encode()), (f"{info}/WHEEL", wheel.encode())]
    record = ""
    name = f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder) / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files:
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(data)}\n"
            _add(archive, path, data)
        _add(archive, f"{info}/RECORD", f"{record}{info}/RECORD,,\n".encode())
    return name


def _add(archive: zipfile.ZipFile, path: str, data: bytes) -> None:
    # A fixed date: the same files give the same bytes.
    entry = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, data)


def _files(root: Path, below: Path) -> "list[tuple[str, bytes]]":
    paths = sorted(path for path in below.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return [(path.relative_to(root).as_posix(), path.read_bytes()) for path in paths]


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return _write_wheel(wheel_directory, _files(HERE, HERE / _project()["name"]))


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return _write_wheel(wheel_directory, [(f"__editable__{_project()['name']}.pth", f"{HERE}\n".encode())])


def build_sdist(sdist_directory, config_settings=None):
    project = _project()
    stem = f"{project['name']}-{project['version']}"
    files = [(name, (HERE / name).read_bytes()) for name in ("pyproject.toml", "_backend.py", "README.md")]
    files += [*_files(HERE, HERE / project["name"]), *_files(HERE, HERE / "tests")]
    files.append(("PKG-INFO", _metadata(project).encode()))
    with tarfile.open(Path(sdist_directory) / f"{stem}.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        for path, data in files:
            entry = tarfile.TarInfo(f"{stem}/{path}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return f"{stem}.tar.gz"


def get_requires_for_build_wheel(config_settings=None):
    return []


get_requires_for_build_editable = get_requires_for_build_sdist = get_requires_for_build_wheel
