//go:build !linux

package disk

import "math"

// statfs does not know: a write will tell.
func statfs(string) (Volume, error) { return Volume{Free: math.MaxInt64}, nil }
