// Package naming says what a call does: which action it is, what it acts on, and
// in which words, by rules about its method, path and bodies.
//
// A [Namer] is made of rules and read only. It finds the rules of a path in a tree
// of segments, so its cost does not grow with their number, and reads a body only
// where the rule that names the call asks for something in it. All that it reads is
// the record, in which no secrets are.
//
// The rules may come from an operator, from an OpenAPI document ([OpenAPI]), or from
// what is known beforehand ([OpenStack]).
package naming
