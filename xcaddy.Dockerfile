# Caddy with Auditgate, built from this checkout:
#
#   docker build -f xcaddy.Dockerfile -t auditgate .
#   docker run -p 8080:8080 -v "$PWD/Caddyfile:/etc/caddy/Caddyfile:ro" -v auditgate:/data auditgate
#
# Records and keys lie below /data. Let the audit API listen on an address that
# can be reached from outside of the container, as `:9600 { audit_api }`, and
# publish its port where auditors are.

FROM caddy:2.11-builder AS build
# The toolchain that go.mod asks for, where the image has an older one.
ENV GOTOOLCHAIN=auto
COPY . /src
WORKDIR /src
RUN xcaddy build --output /caddy --with github.com/auditgate/auditgate=. \
	&& /caddy list-modules | grep -q http.handlers.audit_capture

FROM caddy:2.11
# The official binary may listen on ports below 1024; this one needs no such right.
COPY --from=build /caddy /usr/bin/caddy
RUN adduser -S -D -H -u 9600 -G nogroup auditgate \
	&& mkdir -p /data /config \
	&& chown -R auditgate:nogroup /data /config \
	&& chmod 0700 /data /config
USER 9600
VOLUME /data /config
EXPOSE 8080 9600
