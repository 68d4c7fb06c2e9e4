package e2e_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func rpcFeatures() []*feature {
	absent := map[string]string{h1.name: "gRPC needs HTTP/2", h3.name: "grpc-go speaks no HTTP/3"}
	return []*feature{
		{
			name: "gRPC unary", site: "grpc", absent: absent, proof: "a message and its answer, metadata both ways, a status that is an error, in the trailers",
			client: func(c *cell) {
				conn := c.dialRPC()
				var answer wrapperspb.StringValue
				var header, trailer metadata.MD
				err := conn.Invoke(c.rpcContext(), "/matrix.Echo/Fail", c.message(0), &answer, grpc.Header(&header), grpc.Trailer(&trailer))
				if status.Code(err) != codes.FailedPrecondition {
					c.t.Errorf("the call ended with %v", err)
				}
				c.client.Err, c.client.Header, c.client.Trailer = err.Error(), headerOfRPC(header), headerOfRPC(trailer)
			},
			record: func(c *cell, want *wanted) {
				recordOfRPC(c, want)
				want.Response = bodyOf(nil) // an error comes without a message
				want.ResponseTrailers = http.Header{"Grpc-Status": {"9"}, "Grpc-Message": {"as asked"}, "X-Tail": {"yes"}}
			},
		},
		{
			name: "gRPC bidirectional", site: "grpc", absent: absent, proof: "each message is answered before the next is sent; the call is listed as in progress while it runs",
			client: func(c *cell) {
				stream, err := c.dialRPC().NewStream(c.rpcContext(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/matrix.Echo/Talk")
				if err != nil {
					c.t.Fatal(err)
				}
				for i := range 5 {
					m := c.message(i)
					if err := stream.SendMsg(m); err != nil {
						c.t.Errorf("sending message %d: %v", i, err)
					}
					var answer wrapperspb.StringValue
					if err := stream.RecvMsg(&answer); err != nil || answer.Value != m.Value {
						c.t.Errorf("message %d came back as %q, %v", i, answer.Value, err)
					}
					c.client.Body = append(c.client.Body, frame(&answer)...)
				}
				c.awaitBegin()
				if err := stream.CloseSend(); err != nil {
					c.t.Error(err)
				}
				c.client.Err = fmt.Sprint(stream.RecvMsg(new(wrapperspb.StringValue))) // EOF: the status is OK
				header, err := stream.Header()
				if err != nil {
					c.t.Error(err)
				}
				c.client.Header, c.client.Trailer = headerOfRPC(header), headerOfRPC(stream.Trailer())
			},
			record: recordOfRPC,
		},
	}
}

// recordOfRPC is what a record says of a call whose messages nobody can read.
func recordOfRPC(c *cell, want *wanted) {
	want.Ending.Status = http.StatusOK
	want.Request, want.Response = withheld(c.sent), withheld(c.client.Body)
	want.ResponseTrailers = http.Header{"Grpc-Status": {"0"}, "Grpc-Message": {""}, "X-Tail": {"yes"}}
}

// message returns the nth message, which the client is about to send.
func (c *cell) message(n int) *wrapperspb.StringValue {
	m := wrapperspb.String(fmt.Sprint("message ", n))
	c.sent = append(c.sent, frame(m)...)
	return m
}

// frame is a message on the wire.
func frame(m proto.Message) []byte {
	content, _ := proto.Marshal(m) // of a string: it cannot fail
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(content))), content...)
}

func (c *cell) rpcContext() context.Context {
	return metadata.AppendToOutgoingContext(c.t.Context(), "x-request-id", c.id, "x-twice", "one", "x-twice", "two")
}

// headerOfRPC returns what the library calls metadata under the names of fields.
func headerOfRPC(md metadata.MD) http.Header {
	h := make(http.Header)
	for name, values := range md {
		h[http.CanonicalHeaderKey(name)] = values
	}
	return h
}

// dialRPC returns a client of its own for a cell.
func (c *cell) dialRPC() *grpc.ClientConn {
	secure := insecure.NewCredentials()
	if c.protocol.tls {
		secure = credentials.NewTLS(c.trust.Clone())
	}
	conn, err := grpc.NewClient("passthrough:///"+c.host(c.feature.site, c.protocol, c.captured),
		grpc.WithTransportCredentials(secure), grpc.WithUserAgent("matrix"),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", c.address(c.feature.site, c.protocol, c.captured))
		}))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() }) // what it says is no matter of the test's
	return conn
}

// startRPC starts the component that speaks gRPC, and returns its address.
func (m *matrix) startRPC() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	s := grpc.NewServer(grpc.UnknownServiceHandler(m.serveRPC))
	go func() { // ends when the test does
		_ = s.Serve(l) // an error is seen by the clients
	}()
	m.t.Cleanup(s.Stop)
	return l.Addr().String()
}

// serveRPC answers each message with itself, or fails.
func (m *matrix) serveRPC(_ any, stream grpc.ServerStream) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	method, _ := grpc.MethodFromServerStream(stream)
	v, ok := m.cells.Load(strings.Join(md.Get("x-request-id"), ""))
	if !ok {
		return status.Error(codes.NotFound, "no such cell")
	}
	c := v.(*cell)
	c.handlers.RLock()
	defer c.handlers.RUnlock()
	seen := componentSeen{Request: method, Header: c.steady(headerOfRPC(md))}
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.component = append(c.component, seen)
	}()
	if err := stream.SendHeader(metadata.Pairs("x-head", "yes")); err != nil {
		return err
	}
	stream.SetTrailer(metadata.Pairs("x-tail", "yes"))
	for {
		var message wrapperspb.StringValue
		if err := stream.RecvMsg(&message); err != nil {
			seen.Err = err.Error()
			return nil // the client has said all
		}
		seen.Body = append(seen.Body, frame(&message)...)
		if method == "/matrix.Echo/Fail" {
			return status.Error(codes.FailedPrecondition, "as asked")
		}
		if err := stream.SendMsg(&message); err != nil {
			return err
		}
	}
}
