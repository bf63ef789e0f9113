from .config import TrainingConfig as TrainingConfig
from .report import draw_curve as draw_curve
from .run_store import RUN_ID_VARIABLE as RUN_ID_VARIABLE
from .run_store import of_this_run as of_this_run
from .run_store import run_folder as run_folder
from .state import Epoch as Epoch
from .state import find_run as find_run
from .trainer import train as train
