// The addon, where `cargo build` put it: in the folder that UNSOUND_NAPI names.
const { dlopen } = require("node:process");
const addon = { exports: {} };
dlopen(addon, process.env.UNSOUND_NAPI);
module.exports = addon.exports;
