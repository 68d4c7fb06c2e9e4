package naming

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"
)

// openStack holds what is known of the services of OpenStack: a file each, named by
// the source. openstack/README.md says how one is written.
//
//go:embed openstack/*.rules
var openStack embed.FS

// Preset is what is known of the APIs of a product beforehand.
type Preset struct {
	Rules []Rule
	// Headers and Fields are names of secrets, Pointers their places in bodies, beside
	// those that are secret everywhere. Paths are shapes of paths with segments
	// called :secret.
	Headers, Fields, Pointers, Paths []string
	// Keep are places that are not secret although their names are.
	Keep []Keep
	// Withheld are the calls of which no body is kept.
	Withheld []Match
}

// Keep is a place in the bodies of some calls, as a JSON pointer.
type Keep struct {
	Pointer string
	Match
}

// OpenStackServices returns the names of the services that [OpenStack] knows, those of
// sources first, then their other names.
func OpenStackServices() (sources, others []string) {
	for _, f := range mustReadOpenStack() {
		sources = append(sources, f.source)
		others = append(others, f.aliases...)
	}
	return sources, others
}

// OpenStackSource returns under which source a service of OpenStack is known, which
// may be named as its source (iam), its project (keystone) or its type (identity).
func OpenStackSource(service string) (source string, ok bool) {
	for _, f := range mustReadOpenStack() {
		if f.source == service || slices.Contains(f.aliases, service) {
			return f.source, true
		}
	}
	return "", false
}

// OpenStack returns what is known of those services of OpenStack. Where two know a
// call, the one named first wins.
func OpenStack(services ...string) (*Preset, error) {
	p := new(Preset)
	for i, service := range services {
		source, ok := OpenStackSource(service)
		if !ok {
			known, _ := OpenStackServices()
			return nil, fmt.Errorf("%q is no service of OpenStack that is known: want some of %q", service, known)
		}
		content, err := openStack.ReadFile("openstack/" + source + ".rules")
		if err != nil {
			return nil, fmt.Errorf("reading what is known of %s: %w", source, err)
		}
		if err := readPreset(source+".rules", string(content), (i+1)*maxRanks, p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// service is what a file says of its service: the first line of each.
type service struct {
	source  string
	aliases []string
}

// mustReadOpenStack reads the first lines of all files, which a test has read before.
func mustReadOpenStack() (all []service) {
	entries, err := openStack.ReadDir("openstack")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		content, err := openStack.ReadFile("openstack/" + e.Name())
		if err != nil {
			panic(err)
		}
		for line := range strings.Lines(string(content)) {
			if words := strings.Fields(line); len(words) > 0 && words[0] == "service" {
				all = append(all, service{strings.TrimSuffix(path.Base(e.Name()), ".rules"), words[1:]})
				break
			}
		}
	}
	return all
}
