"""What README.md tells people to copy works."""

import subprocess

import weir

README = weir.ROOT / "README.md"


def test_the_configuration_is_valid(tmp_path):
    blocks = README.read_text().split("```yaml\n")[1:]
    assert blocks
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block.split("```")[0])
        checked = subprocess.run(
            [weir.binary(), "check", "--config", path], capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, ""), checked.stderr
