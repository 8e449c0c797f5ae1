# The server with its page: docker build --tag usechat .
# Packages come by the versions and digests of the locks. The first two stages are thrown away with their tools.

FROM node:22-slim AS page
WORKDIR /build/web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci
COPY web/ ./
RUN npm run build:static

FROM python:3.11-slim AS packages
# The server's user cannot write bytecode beside the packages: without it, each start would compile all of them.
ENV PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1
WORKDIR /build
COPY requirements/bootstrap.lock requirements/image.lock requirements/
RUN pip install --disable-pip-version-check --require-hashes --requirement requirements/bootstrap.lock \
    && python -m venv --without-pip /opt/usechat \
    && uv pip install --python /opt/usechat --require-hashes --only-binary :all: --requirement requirements/image.lock
COPY pyproject.toml README.md LICENSE ./
COPY src/ src/
RUN python -m hatchling build --target wheel --directory dist \
    && uv pip install --python /opt/usechat --no-deps dist/*.whl

FROM python:3.11-slim
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin usechat \
    && install --directory --owner=usechat --group=usechat --mode=0700 /data
COPY --from=packages /opt/usechat /opt/usechat
COPY --from=page /build/web/out /opt/usechat/page
ENV PATH=/opt/usechat/bin:$PATH \
    USECHAT_WEB_DIR=/opt/usechat/page \
    USECHAT_DATABASE_URL=sqlite:////data/usechat.db
# An agent of one's own goes here: `usechat serve my_app:agent` looks in the working folder.
WORKDIR /app
# By number, so that Kubernetes can see that it is not root.
USER 10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "from http.client import HTTPConnection as H; c = H('127.0.0.1', 8000, timeout=4); c.request('GET', '/healthz'); exit(c.getresponse().status != 200)"]
CMD ["usechat", "serve", "--host", "0.0.0.0", "--port", "8000"]
