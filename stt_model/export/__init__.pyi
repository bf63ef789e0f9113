from .config import ExportConfig as ExportConfig
from .exporter import ExportResult as ExportResult
from .exporter import export as export
from .model_card import ModelIdentity as ModelIdentity
from .tflite_model import TfliteModel as TfliteModel
from .tflite_model import as_logits as as_logits
from .tflite_model import fill_up as fill_up
