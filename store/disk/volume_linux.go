package disk

import "golang.org/x/sys/unix"

func statfs(path string) (Volume, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return Volume{}, err
	}
	used := int64(st.Blocks) - int64(st.Bfree)
	return Volume{(used + int64(st.Bavail)) * int64(st.Bsize), int64(st.Bavail) * int64(st.Bsize)}, nil
}
