import './empty.mjs'
