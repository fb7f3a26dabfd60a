"""All strangers, library by library."""

from ..stranger import Stranger
from . import of_people, of_smp, of_timm, of_transformers, of_ultralytics

STRANGERS: list[Stranger] = [
    stranger
    for module in (of_timm, of_smp, of_transformers, of_ultralytics, of_people)
    for stranger in module.STRANGERS
]

# One of each kind, for a run of minutes.
FEW = frozenset({
    "resnet18", "resnet18_scripted", "resnet18_half", "resnet18_gray", "efficientnet_b0", "repvit_m0_9", "convnext_atto",
    "swin_tiny_patch4_window7_224", "mambaout_femto", "tiny_vit_5m_224", "vit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224", "vit_small_patch14_reg4_dinov2", "smp_unet", "smp_unet_one", "smp_segformer",
    "smp_deeplabv3plus", "hf_vit_imageclassification", "hf_dinov2", "hf_swin_imageclassification",
    "hf_segformer_semanticsegmentation", "hf_detr_objectdetection", "yolo11n", "yolo11n_nms",
    "yolo11n_seg", "yolo11n_pose", "yolo26n", "yolov10n", "features_and_logits", "normalises_in_place",
    "regression",
})  # fmt: skip

# Of those, what torch.export takes in another form than torch.jit: it cannot trace the suppression of ultralytics, and
# scripts and halves have no form of their own there.
EXPORTED = FEW - {"yolo11n_nms", "resnet18_scripted", "resnet18_half"}
