# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
