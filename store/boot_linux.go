package store

import "os"

// machineBoot names this run of the operating system: "" where that is not to
// be had.
func machineBoot() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(id)
}
