package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

const maxFile = 1 << 20 // bytes

// read returns the bytes of a configuration file.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%q is no configuration: it is larger than %d bytes", path, maxFile)
	}
	return data, nil
}

// decode puts data, which path named, into v and refuses what v does not know.
func decode(path string, data []byte, v any) error {
	dec := toml.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		row, col := strict.Errors[0].Position()
		return fmt.Errorf("%s:%d:%d: unknown key %q", path, row, col, strings.Join(strict.Errors[0].Key(), "."))
	}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		row, col := decode.Position()
		return fmt.Errorf("%s:%d:%d: %s", path, row, col, plain(decode))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var keys map[string]any
	if err := toml.Unmarshal(data, &keys); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if key := misspelt(keys); key != "" {
		return fmt.Errorf("%s: unknown key %q: keys are written in lower case", path, key)
	}
	if key := zero(keys); key != "" {
		return fmt.Errorf("%s: %s = 0: leave the key out for its default; strict = true holds at the first file", path, key)
	}
	return nil
}

var mistyped = regexp.MustCompile(`cannot decode TOML (.+) into .*of type (\S+)$`)

// plain words a decoding error for someone who knows the file, not the code.
func plain(err *toml.DecodeError) string {
	text := strings.TrimPrefix(err.Error(), "toml: ")
	if m := mistyped.FindStringSubmatch(text); m != nil {
		want := map[string]string{"string": "text in quotes", "bool": "true or false", "int": "a whole number", "int64": "a whole number",
			"float64": "a number", "[]string": "a list of texts", "time.Time": "a time"}[m[2]]
		if want != "" {
			text = fmt.Sprintf("want %s, not TOML %s", want, m[1])
		}
	}
	if key := strings.Join(err.Key(), "."); key != "" {
		text = key + ": " + text
	}
	return text
}

// misspelt finds a key with an upper-case letter: the decoder takes it for the
// key in lower case, also beside one.
func misspelt(keys map[string]any) string {
	return find(keys, func(key string, _ any) bool { return key != strings.ToLower(key) })
}

// zero finds a threshold of a policy that is set to 0: package scan takes that
// for its default, which is not what was written.
func zero(keys map[string]any) string {
	return find(keys, func(key string, v any) bool {
		return strings.HasPrefix(key, "hold_") && (v == int64(0) || v == float64(0))
	})
}

// find returns the first key, dotted, for which is says yes; "" when none.
func find(keys map[string]any, is func(string, any) bool) string {
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if is(key, keys[key]) {
			return key
		}
		inner := []any{keys[key]}
		if list, ok := keys[key].([]any); ok {
			inner = list
		}
		for _, v := range inner {
			if table, ok := v.(map[string]any); ok {
				if k := find(table, is); k != "" {
					return key + "." + k
				}
			}
		}
	}
	return ""
}
