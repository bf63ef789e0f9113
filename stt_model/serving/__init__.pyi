from .app import make_app as make_app
from .recogniser import Recogniser as Recogniser
from .settings import ServingSettings as ServingSettings
