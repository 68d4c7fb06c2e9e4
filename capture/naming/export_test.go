package naming

// ReadPreset reads one file of a preset.
func ReadPreset(file, text string) (*Preset, error) {
	p := new(Preset)
	return p, readPreset(file, text, maxRanks, p)
}
