package uripath_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/auditgate/auditgate/capture/uripath"
)

func TestPathIsReadAsServersDo(t *testing.T) {
	for path, want := range map[string][][]string{
		"":                     nil,
		"*":                    nil,
		"/":                    {{}},
		"/a":                   {{"a"}},
		"a":                    nil,
		"/a/b/":                {{"a", "b"}},
		"//a///b":              {{"a", "b"}},
		"/./a/./b/.":           {{"a", "b"}},
		"/a/../b":              {{"b"}},
		"/../../a":             {{"a"}},
		"/a/..":                {{}},
		"/a/...":               {{"a", "..."}},
		"/a/.%2e/%2E/b":        {{"b"}},
		"/%2e%2e%2e/..a":       {{"...", "..a"}},
		"/a/%2":                {{"a", "%2"}},
		"/%61/b%20c":           {{"a", "b c"}},
		"/a/%2e%2E/b":          {{"b"}},
		"/a%252fb":             {{"a%2fb"}}, // decoded once
		"/a%2fb":               {{"a/b"}, {"a", "b"}},
		"/a%2F":                {{"a/"}, {"a"}},
		"/x%2f..%2fa":          {{"x/../a"}, {"a"}},
		"/a/x%2f%2e%2e%2f../b": {{"a", "x/../..", "b"}, {"b"}},
		"/a%zz/b":              {{"a%zz", "b"}},
		"/a%zz%2fb":            {{"a%zz%2fb"}},
		"/a+b":                 {{"a+b"}},
	} {
		if diff := cmp.Diff(want, uripath.Readings(path), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

func BenchmarkReadings(b *testing.B) {
	for name, path := range map[string]string{
		"plain": "/v2.1/servers/b5b7c1d2-8c0c-4b3a-9d7f-0f2f8f5d7a11/action", "coded": "/v1/container/a%2Fb%20c",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				uripath.Readings(path)
			}
		})
	}
}

func TestNthSegmentIsReadInEachWay(t *testing.T) {
	for _, tc := range []struct {
		path string
		n    int
		want []string
	}{
		{"*", 1, nil},
		{"/v1/demo/servers", 2, []string{"demo"}},
		{"/v1/demo/servers", 4, []string{""}},
		{"//v1//demo", 2, []string{"demo"}},
		{"/v1/victim/../demo/servers", 2, []string{"demo"}},
		{"/v1/victim/%2e%2e/demo/servers", 2, []string{"demo"}},
		{"/v1/d%65mo", 2, []string{"demo"}},
		{"/v1/demo%2fservers/x", 2, []string{"demo/servers", "demo"}},
		{"/v1%2fdemo%2fx/victim", 2, []string{"victim", "demo"}},
		{"/v1/victim%2f..%2fdemo", 2, []string{"victim/../demo", "demo"}},
		{"/v1%2fdemo", 2, []string{"", "demo"}},
		{"/v1/demo/x%2fy", 2, []string{"demo"}},
	} {
		if got := uripath.Nth(tc.path, tc.n); !cmp.Equal(got, tc.want) {
			t.Errorf("segment %d of %s is %q, want %q", tc.n, tc.path, got, tc.want)
		}
	}
}
