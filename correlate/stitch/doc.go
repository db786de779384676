// Package stitch assembles timelines. It is keyed by trace: whatever bind gave
// to one trace id, or to several that are one request, becomes a group; a group
// is split into its requests (entries), and each entry into steps.
//
// A timeline is a pure function of the group's rows and of the settling point
// it is made at, so rows may come in any order.
package stitch
