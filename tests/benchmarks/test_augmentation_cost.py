from stt_model.augmentation.specification import AUGMENTATIONS
from tests.benchmarks.augmentation_cost import Cost, main, to_table


def test_every_augmentation_is_measured(capsys):
    main(["--utterances", "1", "--runs", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines[4:]] == [
        f"| {name}" for name in ("(none)", *AUGMENTATIONS)
    ]


def test_the_table_has_the_cost_beside_the_speed():
    table = to_table([Cost("(none)", 0.002), Cost("codec", 0.01)])
    assert table.splitlines()[2:] == ["| (none) | 500 | 0.00 |", "| codec | 100 | 8.00 |"]
