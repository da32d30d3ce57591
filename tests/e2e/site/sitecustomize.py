"""Lets a CUDA build of torchvision be imported beside a CPU torch: declares the two operators it asks for.

On PYTHONPATH of the served process only. Python's own hook is the one moment before every import.
"""

import importlib.abc
import importlib.util
import sys


class _DeclareFirst(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            from torch import library as operators

            library = operators.Library("torchvision", "DEF")
            library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            sys.modules[__name__].torchvision_library = library
        return


sys.meta_path.insert(0, _DeclareFirst())
