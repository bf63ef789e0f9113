from .aligner import Aligner as Aligner
from .config import AlignmentConfig as AlignmentConfig
from .outcome import AlignmentResult as AlignmentResult
