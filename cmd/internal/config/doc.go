// Package config sets the flags of a service from a file and the environment. The
// flags are the schema: there is no second list of options.
package config
