from .alignment import count_errors as count_errors
from .config import EvaluationConfig as EvaluationConfig
from .evaluator import evaluate as evaluate
from .result import EvaluationResult as EvaluationResult
from .result import Gate as Gate
