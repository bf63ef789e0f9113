# The data steps: validation, checkpoint fetch, alphabet analysis, refusal. No TensorFlow.
# docker build -f docker/light.Dockerfile -t localhost/stt-bootstrap/light:0.1.0 .
ARG BASE=python:3.11-slim
FROM ${BASE}
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /src
COPY setup.cfg pyproject.toml constraints.txt README.md LICENSE ./
COPY stt_model ./stt_model
RUN pip install --no-cache-dir --constraint constraints.txt . kfp
RUN useradd --uid 1000 --create-home worker
USER 1000
WORKDIR /home/worker
