"""The AI SDK's stream protocols: conversion between parts and bytes. Pure; knows no HTTP and no provider."""
