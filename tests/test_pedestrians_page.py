"""scripts/pedestrians.py: tables and curves from run folders, by hand; what has not been run says so."""

from pathlib import Path

from tests import run_folders
from tljax.core import modules

pedestrians = modules.load_file(Path(__file__).parents[1] / "scripts" / "pedestrians.py", "a test")


def test_a_table_has_a_row_for_each_strategy_and_says_what_has_not_run(tmp_path):
    for row, values in {
        "full_20": (0.5,),
        "layer_decay_20": (0.7, 0.9, 0.8),
        "linear_probe_20": (0.2, 0.9, 0.3),
        "scratch_20": (0.5, 0.6),
        "scratch_120": (0.8,),
    }.items():
        for seed, value in enumerate(values):
            run_folders.write(
                tmp_path / "pixels" / row / f"seed{seed}", {}, run_folders.result(value, seed=seed, seconds=90)
            )
    page = "a <!--table pixels-->9.9 typed<!--/--> b <!--table boxes--><!--/-->"
    text = pedestrians.filled(page, tmp_path)
    assert pedestrians.filled(text, tmp_path) == text and "typed" not in text
    assert text.endswith("b <!--table boxes-->\nnot run\n<!--/-->")
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert lines[0] == ["strategy", "20 pictures", "120 pictures"]
    assert {line[0]: line[1:] for line in lines[2:]} == {
        "layer_decay": ["80.0 (55.2 to 100.0)", "not run"],  # 80 +- 4.303 * 10 / sqrt(3)
        "scratch": ["55.0 (50.0 and 60.0)", "80.0 (1 seed)"],
        "full": ["50.0 (1 seed)", "not run"],
        "linear_probe": ["46.7 (0.0 to 100.0)", "not run"],
        "layer_decay - scratch, paired": ["+25.0 (+20.0 and +30.0)", "not run"],
        "full - scratch, paired": ["+0.0 (1 seed)", "not run"],
        "linear_probe - scratch, paired": ["+0.0 (-30.0 and +30.0)", "not run"],
    }
    assert "accuracy in % of 1000 test pictures" in text and "10 runs of 1.5 minutes" in text
    pedestrians.plot(tmp_path, pedestrians.BLOCK.findall(page), tmp_path / "p.svg")
    assert "training pictures" in (tmp_path / "p.svg").read_text()
