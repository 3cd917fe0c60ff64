module github.com/doorward/doorward/test

go 1.26.0

replace github.com/doorward/doorward => ../

require (
	github.com/go-rod/rod v0.116.2 // indirect
	github.com/letsencrypt/pebble/v2 v2.10.1 // indirect
	github.com/ysmood/fetchup v0.2.3 // indirect
	github.com/ysmood/goob v0.4.0 // indirect
	github.com/ysmood/got v0.40.0 // indirect
	github.com/ysmood/gson v0.7.3 // indirect
	github.com/ysmood/leakless v0.9.0 // indirect
	honnef.co/go/tools v0.8.2 // indirect
)
