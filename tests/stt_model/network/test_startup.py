"""The import of TensorFlow leaves the process as it would be without the time that it saves."""

import gc
import subprocess
import sys

import pytest

from stt_model.network.startup import _imported_lightly


def test_pictures_can_be_drawn_after_tensorflow_is_imported():
    program = (
        "import gc, sys;"
        "from stt_model.network.startup import import_tensorflow_quietly;"
        "import_tensorflow_quietly();"
        "assert 'matplotlib' not in sys.modules;"
        "import keras, matplotlib.pyplot;"
        "assert gc.isenabled() and keras.layers.Dense(1)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_failed_import_hides_nothing(monkeypatch):
    loaded = object()
    monkeypatch.setitem(sys.modules, "matplotlib", loaded)
    monkeypatch.delitem(sys.modules, "mpl_toolkits", raising=False)
    with pytest.raises(ImportError, match="broken"), _imported_lightly():
        assert not gc.isenabled()
        assert sys.modules["matplotlib"] is loaded
        assert sys.modules["mpl_toolkits"] is None
        raise ImportError("broken")
    assert gc.isenabled()
    assert sys.modules["matplotlib"] is loaded
    assert "mpl_toolkits" not in sys.modules


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with _imported_lightly():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
