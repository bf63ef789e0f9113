from .parameters import Domain as Domain
from .specification import Augmenter as Augmenter
from .specification import Visit as Visit
from .specification import parse_augmentations as parse_augmentations
