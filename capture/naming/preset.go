package naming

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxRanks is how many ranks the matches of one service have at most.
const maxRanks = 1000

// presetReader reads the rules of one service: see openstack/README.md.
type presetReader struct {
	to      *Preset
	rank    int      // of its matches, from here on
	service []string // its names
	roots   []string
	ids     []string // pointers to the id of an object, {noun} being what it is called
	names   []string // to its name
}

// readPreset adds what a file says of a service to p, its matches with ranks from rank on.
func readPreset(file, text string, rank int, p *Preset) error {
	r := &presetReader{
		to: p, rank: rank, service: []string{strings.TrimSuffix(file, ".rules")}, roots: []string{"/"},
		ids: []string{"/{noun}/id"}, names: []string{"/{noun}/name"},
	}
	var words []string
	at := 0 // the line on which words begin
	end := func() error {
		if len(words) == 0 {
			return nil
		}
		if err := r.line(words); err != nil {
			return fmt.Errorf("%s:%d: %w", file, at, err)
		}
		words = nil
		return nil
	}
	number := 0
	for line := range strings.Lines(text) {
		number++
		more, err := presetWords(line)
		if err != nil {
			return fmt.Errorf("%s:%d: %w", file, number, err)
		}
		if len(more) == 0 {
			continue
		}
		if line[0] != ' ' && line[0] != '\t' {
			if err := end(); err != nil {
				return err
			}
			at = number
		}
		words = append(words, more...)
	}
	return end()
}

// presetWords takes a line apart at its spaces, but for those between quotes. What is
// behind a # that begins a word is for people.
func presetWords(line string) (words []string, err error) {
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimSpace(rest) {
		switch rest[0] {
		case '#':
			return words, nil
		case '"':
			word, after, closed := strings.Cut(rest[1:], `"`)
			if !closed {
				return nil, errors.New("a quote is not closed")
			}
			words, rest = append(words, word), after
		default:
			end := strings.IndexAny(rest+" ", " \t")
			words, rest = append(words, rest[:end]), rest[end:]
		}
	}
	return words, nil
}

// line reads one line.
func (r *presetReader) line(words []string) error {
	args := words[1:]
	switch words[0] {
	case "service":
		r.service = append(r.service, args...)
	case "root":
		r.roots = args
	case "id":
		r.ids = args
	case "name":
		r.names = args
	case "secret":
		if len(args) < 2 {
			return errors.New("secret line: want header, field, pointer or path, and some of them")
		}
		switch args[0] {
		case "header":
			r.to.Headers = append(r.to.Headers, args[1:]...)
		case "field":
			r.to.Fields = append(r.to.Fields, args[1:]...)
		case "pointer":
			r.to.Pointers = append(r.to.Pointers, args[1:]...)
		case "path":
			for _, path := range args[1:] {
				for _, m := range r.matches("*", path) {
					r.to.Paths = append(r.to.Paths, m.Path)
				}
			}
		default:
			return fmt.Errorf("secret %s: want header, field, pointer or path", args[0])
		}
	case "keep":
		on := slices.Index(args, "on")
		if on < 1 || len(args) != on+3 {
			return errors.New("keep: want JSON pointers, and of which calls, as in `keep /token on POST /auth/tokens`")
		}
		for _, m := range r.matches(args[on+1], args[on+2]) {
			for _, pointer := range args[:on] {
				r.to.Keep = append(r.to.Keep, Keep{pointer, m})
			}
		}
	default:
		return r.action(words)
	}
	if len(args) == 0 {
		return fmt.Errorf("%s: want something behind it", words[0])
	}
	return nil
}

// matches are the places of a path below all roots: as it stands, and below one or two
// more segments, which a proxy or a catalog has put before it. Where the root does not
// tell the API itself, by a version, those must be a name of the service.
func (r *presetReader) matches(methods, path string) (all []Match) {
	for method := range strings.SplitSeq(methods, ",") {
		rank := r.rank
		add := func(text string) {
			all = append(all, Match{Method: method, Path: text, rank: rank})
		}
		for _, before := range []string{"", "/*", "/*/*"} {
			for _, root := range r.roots {
				rank++
				text := strings.TrimSuffix(root, "/") + strings.TrimSuffix(path, "/")
				switch {
				case before == "":
					add("/" + strings.TrimPrefix(text, "/"))
				case root != "/":
					add(before + text)
				case before == "/*":
					for _, name := range r.service {
						add("/" + name + text)
					}
				}
			}
		}
	}
	return all
}

// action reads the line of an action.
func (r *presetReader) action(words []string) error {
	if len(words) < 3 || !strings.HasPrefix(words[2], "/") {
		return fmt.Errorf("%s: want an action, methods and a path, as in `server.show GET /servers/:server`", words[0])
	}
	rule := Rule{Name: words[0], Matches: r.matches(words[1], words[2])}
	rest := words[3:]
	if len(rest) > 0 && strings.HasPrefix(rest[0], "{") && strings.HasSuffix(rest[0], "}") {
		rule.Key, rest = rest[0][1:len(rest[0])-1], rest[1:]
	}
	objects := r.objects(rule.Name, words[2])
	options := []string{"alias", "object", "body", "description"}
	for len(rest) > 0 {
		option := rest[0]
		if !slices.Contains(options, option) {
			return fmt.Errorf("%s: %q is not known here: want one of %q", rule.Name, option, options)
		}
		n := min(2, len(rest)) // what follows an option is its own, even where it is called as one: `object object`
		for n < len(rest) && !slices.Contains(options, rest[n]) {
			n++
		}
		args := rest[1:n]
		rest = rest[n:]
		switch {
		case option == "alias" && len(args) > 0:
			rule.Aliases = args
		case option == "body" && slices.Equal(args, []string{"off"}):
			r.to.Withheld = append(r.to.Withheld, rule.Matches...)
		case option == "description" && len(args) == 1:
			rule.Description = args[0]
		case option == "object" && slices.Equal(args, []string{"none"}):
			objects = nil
		case option == "object" && len(args) == 1: // the same, under another name
			for i := range objects {
				objects[i].Type = args[0]
			}
		case option == "object" && len(args) <= 3 && len(args) > 0:
			args = append(slices.Clip(args), "") // what follows is of the rest
			o := Object{Type: args[0], ID: args[1], Name: args[2]}
			if len(rule.Objects) == 0 {
				objects = nil
			}
			rule.Objects = append(rule.Objects, o)
		default:
			return fmt.Errorf("%s: %s: want `alias <word…>`, `object <type> [<id> [<name>]]`, `object none`, `body off` or `description \"…\"`", rule.Name, option)
		}
	}
	rule.Objects = append(rule.Objects, objects...)
	r.to.Rules = append(r.to.Rules, rule)
	return nil
}

// objects are those of a line that says nothing of them. An object is called what the
// action's first word says. Its id is the segment of that name; without one that of the
// body; its name is the segment called so with _name behind it, else that of the body, of
// the answer before the request. A list is of what the last other segment with a name says.
func (r *presetReader) objects(action, path string) (all []Object) {
	noun, _, _ := strings.Cut(action, ".")
	named := ""
	for _, part := range split(path) {
		if name, ok := strings.CutPrefix(part, ":"); ok && named != noun && !strings.HasSuffix(name, "_name") {
			named = name
		}
	}
	if strings.Contains(path, "/:"+named+"_name/") {
		all = append(all, Object{Type: named, Name: "{audit.path." + named + "_name}"})
	}
	switch {
	case strings.HasSuffix(action, ".list") && named == "":
		return nil
	case strings.HasSuffix(action, ".list"):
		return append(all, Object{Type: named, ID: "{audit.path." + named + "}"})
	case named == noun:
		all = append(all, Object{Type: noun, ID: "{audit.path." + noun + "}"})
	default:
		for _, pointer := range r.ids {
			all = append(all, Object{Type: noun, ID: "{audit.res.json." + strings.ReplaceAll(pointer, "{noun}", noun) + "}"})
		}
	}
	for _, side := range []string{"res", "req"} {
		for _, pointer := range r.names {
			all = append(all, Object{Type: noun, Name: "{audit." + side + ".json." + strings.ReplaceAll(pointer, "{noun}", noun) + "}"})
		}
	}
	return all
}
