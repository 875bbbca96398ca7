"""The README's code blocks run, in the order in which a reader would run them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.process

PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
"""Where the command is, as in an activated environment."""
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def blocks() -> list[tuple[str, str]]:
    text = (Path(__file__).resolve().parent.parent / "README.md").read_text()
    return [(language, code) for language, code in BLOCK.findall(text) if language in ("sh", "python")]


def test_the_first_block_names_targets_of_the_makefile(
    blocks: list[tuple[str, str]], repository: Path
) -> None:
    """`make demo` and `make test` exist."""
    language, code = blocks[0]
    makefile = (repository / "Makefile").read_text()
    targets = re.findall(r"^make (\w+)", code, re.MULTILINE)
    assert (language, targets) == ("sh", ["demo", "test"])
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's HTTP example needs curl")
@pytest.mark.skipif(
    shutil.which("arcpoint", path=PATH) is None, reason="the arcpoint command is not on the path"
)
def test_all_other_blocks_run_one_after_another(blocks: list[tuple[str, str]], tmp_path: Path) -> None:
    """Every command succeeds in an empty folder, and each of the three uses gives an answer."""
    environment = dict(os.environ) | {"ARCPOINT_EMBEDDER": "hashing", "PATH": PATH}
    outputs = []
    for language, code in blocks[1:]:
        program = ["bash", "-e", "-m", "-c"] if language == "sh" else [sys.executable, "-c"]
        done = subprocess.run(
            [*program, code],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{code}\n{done.stderr}"
        outputs.append(done.stdout)
    shell, python, http = outputs
    assert "llama-70b/neocloud" in shell
    assert len(list((tmp_path / "postmortems").glob("*.md"))) >= 12
    assert "premium" in python
    assert '"citations"' in http


def test_every_link_of_the_documentation_leads_somewhere(repository: Path) -> None:
    """Relative links in README and docs point at files."""
    for page in (repository / "README.md", *(repository / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
