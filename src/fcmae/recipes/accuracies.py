"""Accuracies that the paper prints: top-1 on ImageNet-1K in per cent, single crop (Tables 7, 8)."""

# Table 7, 224 pixels: V2 after FCMAE pre-training, V1 supervised.
TABLE_7 = {
    "convnext_atto": 75.7,
    "convnextv2_atto": 76.7,
    "convnext_femto": 77.5,
    "convnextv2_femto": 78.5,
    "convnext_pico": 79.5,
    "convnextv2_pico": 80.3,
    "convnext_nano": 80.8,
    "convnextv2_nano": 81.9,
    "convnext_tiny": 82.1,
    "convnextv2_tiny": 83.0,
    "convnext_base": 83.8,
    "convnextv2_base": 84.9,
    "convnext_large": 84.3,
    "convnextv2_large": 85.8,
    "convnextv2_huge": 86.3,
}

# Table 7, what it compares these with: V2 without pre-training, and V1 after FCMAE.
TABLE_7_V2_SUPERVISED = {
    "convnextv2_atto": 76.2,
    "convnextv2_femto": 78.0,
    "convnextv2_pico": 79.7,
    "convnextv2_nano": 81.2,
    "convnextv2_tiny": 82.5,
    "convnextv2_base": 84.3,
    "convnextv2_large": 84.5,
}
TABLE_7_V1_FCMAE = {"convnext_base": 83.7, "convnext_large": 84.4}

# Table 8, after intermediate fine-tuning on ImageNet-22K: by model and pixels.
TABLE_8 = {
    ("convnextv2_nano", 224): 82.1,
    ("convnextv2_nano", 384): 83.4,
    ("convnext_tiny", 224): 82.9,
    ("convnextv2_tiny", 224): 83.9,
    ("convnext_tiny", 384): 84.1,
    ("convnextv2_tiny", 384): 85.1,
    ("convnext_base", 224): 85.8,
    ("convnextv2_base", 224): 86.8,
    ("convnext_base", 384): 86.8,
    ("convnextv2_base", 384): 87.7,
    ("convnext_large", 224): 86.6,
    ("convnextv2_large", 224): 87.3,
    ("convnext_large", 384): 87.5,
    ("convnextv2_large", 384): 88.2,
    ("convnext_xlarge", 224): 87.0,
    ("convnext_xlarge", 384): 87.8,
    ("convnextv2_huge", 384): 88.7,
    ("convnextv2_huge", 512): 88.9,
}
