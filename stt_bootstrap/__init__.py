"""What is installed beside ``stt_model``: components, pipelines and the demo, under one name.

The folders lie at the top of the repository; here are links to them, so that an installed package
takes no common names such as ``components`` or ``pipelines``.
"""
