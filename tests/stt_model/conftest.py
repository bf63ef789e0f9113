import pytest


@pytest.fixture(scope="session", autouse=True)
def logical_devices():
    """Split the CPU into four logical devices, before anything computes on it."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)
