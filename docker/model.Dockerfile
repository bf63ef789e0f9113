# The model steps: layer surgery, training, evaluation, export.
# docker build -f docker/model.Dockerfile -t localhost/stt-bootstrap/model:0.1.0 .
ARG BASE=python:3.11-slim
FROM ${BASE}
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /src
COPY setup.cfg pyproject.toml constraints.txt README.md LICENSE ./
COPY stt_model ./stt_model
RUN pip install --no-cache-dir --constraint constraints.txt ".[train]" kfp
RUN useradd --uid 1000 --create-home worker
USER 1000
WORKDIR /home/worker
