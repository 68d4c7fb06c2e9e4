package identity_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/record"
)

// unsigned returns a token of these claims whose signature is nothing.
func unsigned(claims string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + b64([]byte(claims)) + "." + b64([]byte("nobody looks at this"))
}

// VK-15, VK-26: e-mail and id of the user; VK-31: each may be absent.
func TestBearerNamesTheActorUnverified(t *testing.T) {
	tests := []struct {
		name, claims string
		want         record.Actor
	}{
		{
			"all", `{"sub":"u1","name":"Ann","email":"ann@example.com","roles":["a","b"],"exp":1}`,
			record.Actor{UserID: "u1", UserName: "Ann", UserEmail: "ann@example.com", UserRoles: []string{"a", "b"}},
		},
		{"id alone", `{"sub":"u1"}`, record.Actor{UserID: "u1"}},
		{"preferred name", `{"preferred_username":"ann"}`, record.Actor{UserName: "ann"}},
		{"name goes first", `{"preferred_username":"ann","name":"Ann"}`, record.Actor{UserName: "Ann"}},
		{"spaces", " {\n\t\"sub\" : \"u1\" , \"roles\" : [ \"a\" , \"b\" ] } ", record.Actor{UserID: "u1", UserRoles: []string{"a", "b"}}},
		{"escapes", `{"sub":"\u0041\"\\nn","name":"\ud83d\ude00"}`, record.Actor{UserID: `A"\nn`, UserName: "😀"}},
		{"nested claims of the same name", `{"x":{"sub":"no","y":[{"sub":"}"}]},"sub":"u1"}`, record.Actor{UserID: "u1"}},
		{"claims of other types", `{"sub":7,"name":null,"email":{"a":1},"roles":"a","preferred_username":"ann"}`, record.Actor{UserName: "ann"}},
		{"roles of other types", `{"sub":"u1","roles":[1,"a",null,["b"],{"c":"d"},""]}`, record.Actor{UserID: "u1", UserRoles: []string{"a"}}},
		{"control characters", `{"sub":"u1","name":"a\u001b[31m","email":"a\nb"}`, record.Actor{UserID: "u1"}},
		{"too long", `{"sub":"u1","name":"` + strings.Repeat("x", identity.MaxClaimLen+1) + `"}`, record.Actor{UserID: "u1"}},
		{"long enough", `{"sub":"` + strings.Repeat("x", identity.MaxClaimLen) + `"}`, record.Actor{UserID: strings.Repeat("x", identity.MaxClaimLen)}},
		{"no UTF-8", "{\"sub\":\"u1\",\"name\":\"\xff\"}", record.Actor{UserID: "u1"}},
		{"beyond the stack", `{"pad":"` + strings.Repeat("x", 4000) + `","sub":"u1"}`, record.Actor{UserID: "u1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.AuthMethod = "jwt"
			token := unsigned(tt.claims)
			for _, value := range []string{token, "Bearer " + token, "bearer  " + token + " "} {
				got, ok := identity.FromBearer(value)
				if !ok {
					t.Fatalf("FromBearer(%.20q…) found nobody", value)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("FromBearer(%.20q…) (-want +got):\n%s", value, diff)
				}
			}
		})
	}
}

func TestBearerTakesAtMostMaxRoles(t *testing.T) {
	list := strings.Repeat(`"r",`, 2*identity.MaxRoles) + `"r"`
	got, _ := identity.FromBearer(unsigned(`{"sub":"u1","roles":[` + list + `]}`))
	if len(got.UserRoles) != identity.MaxRoles {
		t.Errorf("got %d roles, want %d", len(got.UserRoles), identity.MaxRoles)
	}
}

func TestBearerNamesNobodyWhereItIsNoJWT(t *testing.T) {
	tests := map[string]string{
		"empty":            "",
		"scheme alone":     "Bearer ",
		"basic":            "Basic YWxhZGRpbjpvcGVuc2VzYW1l",
		"another scheme":   "DPoP " + unsigned(`{"sub":"u1"}`),
		"opaque":           "gAAAAABk3xJ7x2p0b2tlbg",
		"two parts":        "e30.e30",
		"four parts":       unsigned(`{"sub":"u1"}`) + ".x",
		"encrypted":        "a.b.c.d.e",
		"no claims":        unsigned(`{}`),
		"nobody":           unsigned(`{"iss":"x","roles":["admin"]}`),
		"a list":           unsigned(`[{"sub":"u1"}]`),
		"cut off":          unsigned(`{"sub":"u1"`),
		"cut in a string":  unsigned(`{"sub":"u1`),
		"cut in an escape": unsigned(`{"sub":"u1\`),
		"no colon":         unsigned(`{"sub""u1"}`),
		"no comma":         unsigned(`{"sub":"u1" "name":"x"}`),
		"bad escape":       unsigned(`{"sub":"\q"}`),
		"closes too often": unsigned(`{"a":]}`),
		"bad base64":       "e30.e!0.x",
		"too long":         unsigned(`{"sub":"u1","pad":"` + strings.Repeat("x", identity.MaxTokenLen) + `"}`),
	}
	for name, value := range tests {
		if got, ok := identity.FromBearer(value); ok {
			t.Errorf("%s: FromBearer found %+v, want nobody", name, got)
		}
	}
}

// FuzzFromBearer compares with encoding/json wherever that reads the claims.
func FuzzFromBearer(f *testing.F) {
	f.Add([]byte(`{"sub":"u1","name":"Ann","email":"ann@example.com","roles":["a",1],"x":{"y":[1.5e3,true,"\"}"]}}`))
	f.Add([]byte(`{"preferred_username":"\u0041","sub":null}`))
	f.Add([]byte(`{"roles":[[]`))
	f.Fuzz(func(t *testing.T, claims []byte) {
		got, ok := identity.FromBearer(unsigned(string(claims)))
		if ok != got.Known() {
			t.Fatalf("ok is %v for %+v", ok, got)
		}
		for _, s := range append(got.UserRoles, got.UserID, got.UserName, got.UserEmail) {
			if len(s) > identity.MaxClaimLen || strings.ContainsAny(s, "\n\r\x1b\x00") {
				t.Fatalf("claim %q is not fit for a record", s)
			}
		}
		var want map[string]any
		if json.Unmarshal(claims, &want) != nil || want == nil {
			return
		}
		if s, _ := want["sub"].(string); got.UserID != "" && got.UserID != s {
			t.Errorf("sub of %s is %q, want %q", claims, got.UserID, s)
		}
		if s, _ := want["email"].(string); got.UserEmail != "" && got.UserEmail != s {
			t.Errorf("email of %s is %q, want %q", claims, got.UserEmail, s)
		}
	})
}

func BenchmarkFromBearer(b *testing.B) {
	value := "Bearer " + unsigned(`{"iss":"https://id.example.com/realms/main","sub":"0190aa4e-8d64-7cc8-9ba5-4ff5f7d17b1f","aud":["nova","account"],`+
		`"exp":1795255200,"iat":1795254900,"jti":"c2ad4f5b","typ":"Bearer","azp":"dashboard","session_state":"5f0e","scope":"openid email profile",`+
		`"realm_access":{"roles":["offline_access","uma_authorization"]},"email_verified":true,"name":"Ann Example",`+
		`"preferred_username":"ann","email":"ann@example.com","roles":["member","reader"]}`)
	b.Run("scanner", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := identity.FromBearer(value); !ok {
				b.Fatal("nobody")
			}
		}
	})
	// The obvious way, to compare with.
	b.Run("struct", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var claims struct {
				Sub, Name, Email  string
				PreferredUsername string `json:"preferred_username"`
				Roles             []string
			}
			data, err := base64.RawURLEncoding.DecodeString(strings.Split(value, ".")[1])
			if err != nil || json.Unmarshal(data, &claims) != nil {
				b.Fatal("not read")
			}
		}
	})
}
