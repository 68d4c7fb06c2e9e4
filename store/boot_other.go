//go:build !linux

package store

func machineBoot() string { return "" }
