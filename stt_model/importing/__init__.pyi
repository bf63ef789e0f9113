from .clip import ImportSourceError as ImportSourceError
from .coqui_names import COQUI_IMPORTERS as COQUI_IMPORTERS
from .importer import import_corpus as import_corpus
from .outcome import ImportResult as ImportResult
from .registry import formats as formats
from .settings import ImportSettings as ImportSettings
from .transcripts import Normalise as Normalise
from .transcripts import as_it_is as as_it_is
