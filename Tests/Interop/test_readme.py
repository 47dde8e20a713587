"""What README.md and other pages tell people to copy works."""

import subprocess

import pytest

import weir


@pytest.mark.parametrize("page", ["README.md", "docs/coming-from.md"])
def test_the_configurations_are_valid(page, tmp_path):
    blocks = (weir.ROOT / page).read_text().split("```yaml\n")[1:]
    assert blocks
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block.split("```")[0])
        checked = subprocess.run(
            [weir.binary(), "check", "--config", path], capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, ""), checked.stderr
