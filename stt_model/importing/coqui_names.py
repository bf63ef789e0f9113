"""Coqui's importers, and the format that each reads."""

COQUI_IMPORTERS = {
    "import_aidatatang": "transcript_list",
    "import_aishell": "transcript_list",
    "import_cv": "table",
    "import_cv2": "common_voice",
    "import_freestmandarin": "text_beside_audio",
    "import_gram_vaani": "table",
    "import_ldc93s1": "text_beside_audio",
    "import_librivox": "librispeech",
    "import_lingua_libre": "lingua_libre",
    "import_m-ailabs": "ljspeech",
    "import_magicdata": "table",
    "import_slr57": "transcript_list",
    "import_ted": "stm",
    "import_timit": "text_beside_audio",
    "import_ts": "table",
    "import_vctk": "text_beside_audio",
    "import_voxforge": "voxforge",
}
"""These commands read data that was downloaded before; they do not download."""
