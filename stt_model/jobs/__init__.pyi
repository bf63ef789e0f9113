from . import steps as steps
from .transcription import transcribe as transcribe
