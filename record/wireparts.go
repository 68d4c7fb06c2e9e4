package record

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

func appendInt(dst []byte, n protowire.Number, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, n, protowire.VarintType), v)
}

func appendString(dst []byte, n protowire.Number, s string) []byte {
	if s == "" {
		return dst
	}
	return protowire.AppendString(protowire.AppendTag(dst, n, protowire.BytesType), s)
}

// appendMessage appends what fill appends, behind its length.
func appendMessage(dst []byte, n protowire.Number, fill func([]byte) []byte) []byte {
	dst = protowire.AppendTag(dst, n, protowire.BytesType)
	start := len(dst)
	dst = fill(dst)
	size := len(dst) - start
	room := protowire.SizeVarint(uint64(size))
	dst = append(dst, make([]byte, room)...)
	copy(dst[start+room:], dst[start:start+size])
	protowire.AppendVarint(dst[:start], uint64(size))
	return dst
}

func appendHeaders(dst []byte, n protowire.Number, h Headers) []byte {
	if len(h) == 0 {
		return dst
	}
	return appendMessage(dst, n, func(dst []byte) []byte {
		for i := range h {
			dst = protowire.AppendString(dst, h[i].Name)
			dst = protowire.AppendString(dst, h[i].Value)
		}
		return dst
	})
}

func (h *Headers) set(data []byte) error {
	for len(data) > 0 {
		name, n := protowire.ConsumeString(data)
		if n < 0 {
			return fmt.Errorf("%w: header", errMeta)
		}
		value, m := protowire.ConsumeString(data[n:])
		if m < 0 {
			return fmt.Errorf("%w: header", errMeta)
		}
		*h = append(*h, Field{name, value})
		data = data[n+m:]
	}
	return nil
}

func appendBody(dst []byte, n protowire.Number, b *BodyInfo) []byte {
	if b.State == "" {
		return dst
	}
	return appendMessage(dst, n, func(dst []byte) []byte {
		dst = appendInt(dst, 1, uint64(b.Size))
		dst = appendInt(dst, 2, uint64(b.Kept))
		dst = appendString(dst, 3, b.SHA256)
		dst = appendString(dst, 4, b.HMACSHA256)
		if b.Partial {
			dst = appendInt(dst, 5, 1)
		}
		dst = appendString(dst, 6, b.ContentType)
		dst = appendString(dst, 7, b.Encoding)
		dst = appendString(dst, 8, string(b.State))
		return appendString(dst, 9, b.Reason)
	})
}

func (b *BodyInfo) set(data []byte) error {
	return EachField(data, func(n protowire.Number, number uint64, data []byte) error {
		switch n {
		case 1:
			b.Size = int64(number)
		case 2:
			b.Kept = int64(number)
		case 3:
			b.SHA256 = string(data)
		case 4:
			b.HMACSHA256 = string(data)
		case 5:
			b.Partial = number != 0
		case 6:
			b.ContentType = string(data)
		case 7:
			b.Encoding = string(data)
		case 8:
			b.State = BodyState(data)
		case 9:
			b.Reason = string(data)
		}
		return nil
	})
}

func (o *Object) set(data []byte) error {
	return EachField(data, func(n protowire.Number, _ uint64, data []byte) error {
		switch n {
		case 1:
			o.Type = string(data)
		case 2:
			o.ID = string(data)
		case 3:
			o.Name = string(data)
		}
		return nil
	})
}

func (g *Gap) set(data []byte) error {
	return EachField(data, func(n protowire.Number, number uint64, data []byte) error {
		switch n {
		case 1:
			g.Count = number
		case 2:
			g.CountUnknown = number != 0
		case 3:
			g.Reason = string(data)
		}
		return nil
	})
}

// EachField calls do for each field of a protobuf message of varints and bytes,
// as the stored forms are: number holds a varint, data the bytes of what has a
// length. Fields of other kinds are passed by as 0 and nil. It ends with do's
// first error, or with one that says where the message is malformed.
func EachField(message []byte, do func(n protowire.Number, number uint64, data []byte) error) error {
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return fmt.Errorf("%w: tag", errMeta)
		}
		message = message[size:]
		var number uint64
		var data []byte
		switch kind {
		case protowire.VarintType:
			number, size = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			data, size = protowire.ConsumeBytes(message)
		default:
			size = protowire.ConsumeFieldValue(n, kind, message)
		}
		if size < 0 {
			return fmt.Errorf("%w: field %d", errMeta, n)
		}
		if err := do(n, number, data); err != nil {
			return err
		}
		message = message[size:]
	}
	return nil
}
