{
  "targets": [
    {
      "target_name": "lmoec_cuda",
      "sources": ["addon.cc", "buffer.cc", "driver.cc", "event.cc", "graph.cc", "module.cc", "nvrtc.cc", "stream.cc"],
      "include_dirs": ["<!@(node -p \"require('node-addon-api').include\")"],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_DEPRECATED", "NAPI_DISABLE_CPP_EXCEPTIONS"],
      "cflags_cc": ["-std=c++17", "-Wall", "-Wextra"],
      "libraries": ["-ldl"]
    }
  ]
}
